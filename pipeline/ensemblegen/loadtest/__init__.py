"""How much a server or an endpoint can take, by users that come in phases; and what that costs."""
