"""Scenarios of requests that are several sequences, and of slots that cannot all be used."""

from versus import Case, Versus

SLOTS = 8
QUICK_STEPS = ["--step-us", 8000, "--seq-us", 50, "--prefill-us", 10, "--budget", 2048, "--seed", 1]
EIGHT = ["--slots", SLOTS, *QUICK_STEPS]
SIXTY_FOUR = ["--slots", 64, "--step-us", 10000, *QUICK_STEPS[2:]]
# 400 inputs of 50 tokens a second.
POOLING = ["--pooling", "--slots", 64, "--step-us", 20000, "--seq-us", 0, "--prefill-us", 40]
POOLING += ["--budget", 2048, "--seed", 1]


class Weights(Versus):
    name, title = "weights", "Requests that are several in the engine, and pooling models"

    def cases(self):
        four = {"count": 3000, "seed": 3, "prompt_tokens": 50, "output": (20, 60), "n": 4}
        yield Case(
            name="weights-n4", text="64 slots, lines with `n: 4`", engine=SIXTY_FOUR, lines=four,
            wanted=0.95, fixed=(16, 24, 32), slots=64,
        )  # fmt: skip
        yield Case(
            name="weights-n4-8", text="8 slots, lines with `n: 4`", engine=EIGHT,
            lines={**four, "output": (4, 18)}, wanted=0.95, fixed=(2, 3, 4), slots=8,
        )  # fmt: skip
        embeddings = {"url": "/v1/embeddings", "settings": {"profile": "openai"}}
        yield Case(
            name="weights-lists", text="pooling model, lists of 1 to 50 inputs", engine=POOLING,
            lines={"kind": "inputs", "count": 1500, "seed": 3}, wanted=0.95,
            fixed=(4, 8, 16, 32), work="prefill_tokens", more=embeddings,
        )  # fmt: skip
        yield Case(
            name="weights-pooling", text="pooling model, one input each", engine=POOLING,
            lines={"kind": "inputs", "count": 20000, "seed": 3, "inputs": (1, 1)}, wanted=0.95,
            fixed=(64, 128, 256), work="prefill_tokens", more=embeddings,
        )  # fmt: skip


class Loras(Versus):
    name, title = "loras", "Several LoRA names on one engine of 8 slots"

    def cases(self):
        lines = {"count": 6000, "seed": 3, "prompt_tokens": 50, "output": (4, 18)}
        for names in (1, 2, 5):
            models = [f"lora-{n}" for n in range(names)]
            usual = {
                "engine": [*EIGHT, "--loras", ",".join(models), "--max-loras", names],
                "lines": lines, "slots": SLOTS, "more": {"models": models},
            }  # fmt: skip
            if names == 1:
                yield Case(name="loras-1", text="one name", wanted=0.97, fixed=(8, 16), **usual)
            else:
                text = f"{names} names, a batch each, against one name"
                yield Case(
                    name=f"loras-{names}", text=text, wanted=0.95, against="loras-1", **usual
                )
        models = ["lora-0", "lora-1"]
        yield Case(
            name="loras-max-1", text="two adapters, `--max-loras 1`, a batch each",
            engine=[*EIGHT, "--loras", ",".join(models), "--max-loras", 1], lines=lines,
            wanted=0.95, fixed=(8, 16), slots=SLOTS, more={"models": models},
        )  # fmt: skip


class Room(Versus):
    name, title = "kv-room", "A KV cache with room for 5 of 8 slots"
    TOKENS = 5 * 170  # prompts of some 60 tokens, 100 out

    def cases(self):
        lines = {"count": 1000, "seed": 3, "prompt_tokens": 50, "output": (100, 100)}
        for name, text, more in (
            ("kv-room", "room set aside at the start", []),
            ("kv-room-preempt", "room taken as it is used, with preemption", ["--preempt"]),
        ):
            yield Case(
                name=name, text=text, engine=[*EIGHT, "--kv-tokens", self.TOKENS, *more],
                lines=lines, wanted=0.95, fixed=(4, 5, 6, 8), slots=SLOTS,
            )  # fmt: skip
