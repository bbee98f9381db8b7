"""The cache of plans."""


class PlanCache:
    cleared = 0

    def clear(self):
        self.cleared += 1


_cache = PlanCache()


def get_plan_cache():
    return _cache
