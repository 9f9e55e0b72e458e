#!/bin/bash
# Scores all models of params.yaml on the hosts of one SLURM job: sbatch docs/slurm.sh, from the repository's root on a shared disk.
#SBATCH --job-name=lmcore
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
# On GPUs also: #SBATCH --gpus-per-node=4
set -euo pipefail

. .venv/bin/activate
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=${LMCORE_RAY_PORT:-6379}
export RAY_ADDRESS="$head:$port" LMCORE_ENGINE=ray RAY_USAGE_STATS_ENABLED=0

# An open port of Ray lets anyone run code: every host needs the same token, which only you may read.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="${RAY_AUTH_TOKEN_PATH:-$PWD/work/ray_token}"
mkdir -p "$(dirname "$RAY_AUTH_TOKEN_PATH")"
(umask 077 && [ -s "$RAY_AUTH_TOKEN_PATH" ] || openssl rand -hex 32 > "$RAY_AUTH_TOKEN_PATH")

cores=${SLURM_CPUS_PER_TASK:-1}
srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --port="$port" --num-cpus="$cores" --include-dashboard=false --block &
sleep "${LMCORE_RAY_WAIT:-20}"
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address="$RAY_ADDRESS" --num-cpus="$cores" --block &
    sleep "${LMCORE_RAY_WAIT:-20}"
fi

# What is left of the pipeline runs on the first host; the hosts are given back when it ends.
lmcore extract --jobs 4
dvc repro
