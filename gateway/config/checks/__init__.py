"""The rules that look at several tables at once. One file for each subject; a rule is a generator of findings."""
