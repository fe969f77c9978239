"""Why a schedule holds in one network and fails in another: experiments, a rule from the law alone, a page on both."""
