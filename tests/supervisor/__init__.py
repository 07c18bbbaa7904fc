"""The process that stays when the server dies."""
