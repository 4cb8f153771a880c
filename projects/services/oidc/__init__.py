"""Single sign-on with one OpenID Connect provider: the client, its checks of what comes, and who is let in."""
