"""Hostile traffic: what the edge lets through is read alike by other parsers, whatever comes."""
