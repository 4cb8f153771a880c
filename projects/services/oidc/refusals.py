"""Why single sign-on did not work, each with a sentence for the person and a word for the audit log."""

from mlportal.lib.errors import DomainError, Forbidden

SENTENCES = {
    "cancelled": "The sign-in was cancelled.",
    "provider_error": "The provider refused the sign-in.",
    "lost_state": "This sign-in was not begun in this browser, took too long, or was used already. Begin again.",
    "unreachable": "The provider does not answer. Try again later.",
    "bad_discovery": "The provider's description cannot be used. An administrator has to look at it.",
    "wrong_issuer": "The provider is not the one this portal trusts. An administrator has to look at it.",
    "no_token": "The provider did not complete the sign-in.",
    "bad_token": "The provider's answer could not be verified, so nobody was signed in.",
    "wrong_nonce": "The provider's answer belongs to another sign-in, so nobody was signed in.",
    "no_email": "The provider gave no mail address.",
    "unverified": "The provider has not verified your mail address.",
    "domain": "Mail addresses of this domain are not let in here.",
    "no_account": "There is no account for you here. Ask your site administrator for one.",
    "unconfirmed": "An account here has your address, but nobody confirmed it. Ask your site administrator.",
    "clash": "The account with your address is linked to another identity. Ask your site administrator.",
    "service": "An automation account has your address. Ask your site administrator.",
    "inactive": "Your account here is closed.",
    "other_person": "That was another person than the one signed in here.",
    "not_recent": "The provider did not ask you again, so this does not count as a proof.",
}  # fmt: skip


class SignInRefused(Forbidden):
    """The provider let the person in, the portal does not."""

    title = "You were not signed in"

    def __init__(self, why: str, *, whom: int = 0, detail: str = "") -> None:
        super().__init__(SENTENCES[why], code=f"sso_{why}")
        self.why, self.whom, self.detail = why, whom, detail


class ProviderFault(DomainError):
    """The provider is away, or what it says cannot be trusted."""

    status = 502
    title = "Single sign-on did not work"

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(SENTENCES[why], code=f"sso_{why}")
        self.why, self.whom, self.detail = why, 0, detail
