"""What talks to a node, and nothing else does: RPC, keys, contracts, deployment, replay, logs."""
