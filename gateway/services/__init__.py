"""Application services: what every door calls; they know the buses and nothing behind them."""
