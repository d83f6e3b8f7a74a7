"""The object code of a plan, from the cache without emitting anything where the plan was compiled before."""

from __future__ import annotations

from netdsl.plan.plan import Plan, Step
from netdsl_llvm.cache import ObjectCache
from netdsl_llvm.kept import kept_object
from netdsl_llvm.target import Target


def plan_object(plan: Plan, target: Target, store: ObjectCache | None = None) -> bytes:
    """The object of `plan` for `target`. Raises Unsupported for a step that has no kernel."""

    def text() -> str:
        from netdsl_llvm.codegen import module_text

        return module_text(plan, target)

    return kept_object(plan_text(plan), target, text, store)


def plan_text(plan: Plan) -> str:
    """Everything the code of a plan depends on beside our sources: its steps, without names and places in the text."""
    head = repr((plan.threads, len(plan.inputs), len(plan.outputs)))
    return "\n".join([head, *map(_step_text, plan.steps)])


def _step_text(step: Step) -> str:
    attrs = sorted(step.attrs.items())
    views = (step.inputs, step.outputs, step.scratch)
    types = (step.input_types, step.output_types)
    return repr((step.op, attrs, views, types, step.epilogue, step.epilogue_inputs, step.joined, step.times))
