"""Each chart of a report as data, made once for the page and the figures."""
