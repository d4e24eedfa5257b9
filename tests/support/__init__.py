"""What several tests share: made-up skies, fake servers, programs that are run from outside."""
