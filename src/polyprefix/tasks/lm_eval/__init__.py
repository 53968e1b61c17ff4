"""The protocol `lm-eval`: the benchmarks as lm-evaluation-harness 0.4.13 asks and scores them, without few-shot examples.

One file a benchmark, each with the benchmark's own data and languages and the harness's prompt, choices, stop strings,
limits and metrics under its names. The words are facts taken from its task files, its mistakes among them: what is
wrong is named in the file's header and not fixed, since the figures are there to be compared. Prompts are `verbatim`
(records.Prompt): text is not stripped, and tokens are split at the answer by the harness's rule.

Not reproduced: its selection of few-shot examples (`--shots` takes ours, and the result says so), its cutting of prompts
that are too long for a model (an error here), and tokenizers that close every text with an end token.
"""
