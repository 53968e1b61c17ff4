"""The protocol `lm-eval`: the benchmarks as lm-evaluation-harness 0.4.13 asks and scores them, without few-shot examples.

One file a benchmark, each with the benchmark's own data and languages and the harness's prompt, choices, stop strings,
limits and metrics under its names. The words are facts taken from its task files, its mistakes among them: what is
wrong is named in the file's header and not fixed, since the figures are there to be compared. Prompts are `verbatim`
(records.Prompt): text is not stripped, white space of the source around a passage, an option or an answer stays.

Tokens      an empty prompt is the BOS token, or the end token where a model has none. Text and continuation are tokenised
            together; the continuation is what follows after as many tokens as the text has alone, even where the tokenizer
            merged across the border. White space at the end of a text counts to the continuation.
Choices     are compared by the sum of their tokens' log-likelihoods.
Answers     end before the first stop string, even where that is their first character, and after 256 tokens.

Not reproduced: its selection of few-shot examples (`--shots` takes ours, and the result says so), its cutting of prompts
that are too long for a model (an error here), its chain-of-thought variants of MGSM, AfroBench's four other wordings, and
tokenizers that close every text with an end token.
"""
