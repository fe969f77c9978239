"""Which trial comes next and what is kept: search files, Ray Tune, Optuna, MLflow, the command line."""
