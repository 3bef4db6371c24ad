"""Where heavy work runs: jobs as plain data, worker processes, tasks of a cluster."""
