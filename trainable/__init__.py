"""How one trial runs: data, feature network, Frechet distance, training. torch; Ray in one file only."""
