"""nginx's variables: text with ``$name`` in it, and which names there are. Pure; values come from whoever asks."""
