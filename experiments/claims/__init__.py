"""The claims of the two articles, each put to the test by a study."""
