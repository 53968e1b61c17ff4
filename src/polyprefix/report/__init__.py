"""What a run showed, for people: from the files of runs to terminal tables, an HTML page and plain values."""
