"""The command: options, plan, batch, one case after another."""
