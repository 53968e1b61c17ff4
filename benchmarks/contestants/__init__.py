"""The tools that are measured. Each file offers `train`, `evaluate` and `check` where its tool does that work.

train(name, work, started)      steps until enough is measured -> Clock.result
evaluate(name, work, started)   all documents -> seconds, log-likelihoods
check(name, work, started)      the loss of the first batch, before training, in float32
"""
