"""Training one policy: a LoRA adapter for one weight vector."""
