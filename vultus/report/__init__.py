"""The static report: read from result files, drawn, and written as plain HTML without server or network."""
