"""An engine that answers for K adapters of one base model at once, request by request, token by token."""
