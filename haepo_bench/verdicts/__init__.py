"""From stored runs to verdicts on claims: what the report shows and what `run --until-decided` goes by."""
