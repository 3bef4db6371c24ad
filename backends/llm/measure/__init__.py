"""What is measured: pools of scored answers, policies on held-out prompts, the forecast made from them."""
