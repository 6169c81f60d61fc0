"""Classical speech recognition: lexicon, hidden Markov models, n-grams, decoding graphs. Knows no pictures or sound."""
