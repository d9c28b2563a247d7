"""Calling a running server: values from people's words, requests, results row by row."""
