"""Order files as a channel: read, submitted through the gateway, reconciled with the ERP."""
