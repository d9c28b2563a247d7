"""What the author's files say of themselves, read without the libraries that wrote them."""
