"""Where time and bytes go in a real gateway process under the load of the bench: by function, by type, by line."""
