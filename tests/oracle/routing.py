"""Which experts transformers picks, and by how much: so that no tiny model rests on a near tie, and so that a test can
see each rule. The scores are computed here again from the router's logits; the picks must be those of the module."""
import math

import torch

MARGIN = 5e-4  # of scores: between the last expert or group picked and the first left out


def picked(scores, k, groups=1, kept=1, rule="sum", masked=-math.inf):
    """(sorted indices, margin) of each row of scores [T, E]."""
    margin = torch.full(scores.shape[:1], math.inf)
    if groups > 1:
        grouped = scores.unflatten(1, (groups, -1))
        worth = grouped.max(-1).values if rule == "max" else grouped.topk(2, -1).values.sum(-1)
        order = worth.sort(-1, descending=True)
        if kept < groups:
            margin = order.values[:, kept - 1] - order.values[:, kept]
        keep = torch.zeros_like(worth, dtype=torch.bool).scatter(1, order.indices[:, :kept], True)
        scores = torch.where(keep[..., None], grouped, torch.tensor(masked)).flatten(1)
    order = scores.sort(-1, descending=True)
    if k < scores.shape[1]:
        margin = torch.minimum(margin, order.values[:, k - 1] - order.values[:, k])
    return order.indices[:, :k].sort(-1).values, margin


def rules_of(module, arguments):
    """(score of logits, correction bias, how picked() picks) of a router."""
    kind = type(module).__name__
    bias = getattr(module, "e_score_correction_bias", arguments[1] if len(arguments) > 1 else None)
    groups, kept = getattr(module, "num_group", None) or 1, getattr(module, "topk_group", None) or 1
    if kind.startswith("DeepseekV2"):
        if module.topk_method == "greedy":
            groups = kept = 1
        return torch.Tensor.softmax, None, dict(groups=groups, kept=kept, rule="max", masked=0.0)
    if kind.startswith("Mistral4"):
        return torch.Tensor.softmax, None, dict(groups=groups, kept=kept, masked=0.0)
    if kind.startswith(("DeepseekV3", "Glm4Moe", "MiniMaxM2", "NemotronH", "Lfm2Moe")):
        return lambda z, _: z.sigmoid(), bias, dict(groups=groups, kept=kept)
    if kind.startswith(("GptOss", "GraniteMoe")):
        return lambda z, _: z, None, {}
    assert kind.startswith(("Mixtral", "Qwen2Moe", "Qwen3Moe", "Olmoe", "Jamba")), kind
    return torch.Tensor.softmax, None, {}


class Routing:
    """Watches every router of a net during one forward pass; use as a context manager."""

    def __init__(self, net):
        self.routers = [m for m in net.modules() if type(m).__name__.lower().endswith("router")]
        self.margin, self.hit_all, self.possible, self.seen = math.inf, True, set(), set()

    def __enter__(self):
        self.hooks = [m.register_forward_hook(self.watch) for m in self.routers]
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()

    def watch(self, module, arguments, output):
        logits, _, indices = output
        score, bias, how = rules_of(module, arguments)
        k, scores = module.top_k, score(logits.float(), -1)
        choice = scores if bias is None else scores + bias
        mine, margin = picked(choice, k, **how)
        assert torch.equal(mine, indices.sort(-1).values), type(module).__name__
        self.margin = min(self.margin, margin.min().item())
        self.hit_all &= len(mine.unique()) == logits.shape[1]
        others = {}  # wrong rules that must not pick the same
        if bias is not None:
            others["without bias"] = scores, how
        if how.get("groups", 1) > 1:
            others["without groups"] = choice, {}
            if logits.shape[1] > 2 * how["groups"]:
                others["other worth of groups"] = choice, how | dict(rule="sum" if how.get("rule") == "max" else "max")
            if bias is not None:
                others["zero for -inf"] = choice, how | dict(masked=0.0)
        for name, (values, rules) in others.items():
            self.possible.add(name)
            if not torch.equal(picked(values, k, **rules)[0], mine):
                self.seen.add(name)

    def unseen(self):
        return self.possible - self.seen
