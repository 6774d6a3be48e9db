-- Runs once, when the volume is empty: MLflow's users beside its record of runs, each with its own migrations.
CREATE DATABASE mlflow_auth;
