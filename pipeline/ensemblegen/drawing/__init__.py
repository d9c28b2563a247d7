"""A pipeline as a picture: text for Mermaid and Graphviz, and an SVG that needs neither."""
