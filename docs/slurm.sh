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
names=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${names%%$'\n'*}
# Jobs that share a host need a port each.
port=${LMCORE_RAY_PORT:-$((20000 + SLURM_JOB_ID % 10000))}
wait=${LMCORE_RAY_WAIT:-300} # seconds, for the hosts to join
cores=${SLURM_CPUS_PER_TASK:-1}
# Since SLURM 22.05 srun does not take the number of cores from sbatch.
export SRUN_CPUS_PER_TASK=$cores
export RAY_ADDRESS="$head:$port" LMCORE_ENGINE=ray RAY_USAGE_STATS_ENABLED=0
# Commands side by side have workers of their own. Ray ends one that waits for a second, and its model must be opened again.
export RAY_idle_worker_killing_time_threshold_ms=60000

# An open port of Ray lets anyone run code: the hosts of a job share a token that only you may read.
token="$PWD/work/ray_token_$SLURM_JOB_ID"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$token"
mkdir -p work
rm -f "$token"
(umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$token")

steps=()
end() {
    for step in "${steps[@]}"; do kill "$step" 2> /dev/null || true; done
    rm -f "$token"
}
trap end EXIT

# A head that has died half started would keep the question waiting.
n_alive() {
    timeout 60 python -c '
import ray
ray.init(logging_level="ERROR", log_to_driver=False)
print(sum(node["Alive"] for node in ray.nodes()))' 2> /dev/null || echo 0
}

# Waits until so many hosts are in the cluster.
wait_for() {
    local end=$((SECONDS + wait))
    until [ "$(n_alive)" -ge "$1" ]; do
        for step in "${steps[@]}"; do
            kill -0 "$step" 2> /dev/null || { echo "slurm.sh: Ray ended before $1 hosts had joined" >&2; exit 1; }
        done
        [ "$SECONDS" -lt "$end" ] || { echo "slurm.sh: no $1 hosts after $wait s" >&2; exit 1; }
        sleep 1
    done
}

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --port="$port" --num-cpus="$cores" --include-dashboard=false --block &
steps+=($!)
wait_for 1
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
    srun --nodes="$others" --ntasks="$others" --exclude="$head" \
        ray start --address="$RAY_ADDRESS" --num-cpus="$cores" --block &
    steps+=($!)
    wait_for "$SLURM_JOB_NUM_NODES"
fi

# What is left of the pipeline runs on the first host.
lmcore extract --jobs 4
dvc repro
