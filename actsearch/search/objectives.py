"""Names of what a search wants more or less of."""

SCORE, ANCHORS, COST, COMPLEXITY = "score", "anchors", "cost", "complexity"
