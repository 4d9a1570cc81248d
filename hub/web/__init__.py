"""The pages: plain HTML over the same door as the API. `app.create_web` makes them; `ports.Site` says what they ask of the hub."""
