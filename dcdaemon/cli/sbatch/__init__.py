"""Batch scripts of Slurm: what their `#SBATCH` lines ask for, as one job of ours."""
