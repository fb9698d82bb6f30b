"""What the paper claims: what each figure rests on, the verdicts, their statistics, and the choices behind them."""
