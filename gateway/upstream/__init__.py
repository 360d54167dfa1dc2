"""The upstream side: endpoints and their connections, the request as it is forwarded, the answer as it comes back."""
