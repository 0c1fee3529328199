"""Who may ask the gateway for what: API keys and how they are kept."""
