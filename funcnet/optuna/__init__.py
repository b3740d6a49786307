r"""A study of Optuna whose trials run in lanes: asked for in batches, trained by one sweep, told back.

    ask        as many trials as there are lanes; `build(trial)` suggests their numbers and returns an experiment
    train      `fn.sweep` of the batch: experiments of one structure are one program, compiled in the first batch
    report     a metric epoch by epoch, as intermediate values
    tell       COMPLETE with the metric at the best epoch; PRUNED where halving or the study's pruner ended the trial;
               FAIL where it diverged

Samplers, storages, dashboards, plots and importances work as they do with `study.optimize`, which would train one trial
after the other. A sampler that learns sees the outcomes of earlier batches: of those of its own batch it knows nothing,
which is what lanes cost (`TPESampler(constant_liar=True)` keeps the trials of a batch apart).
"""

from funcnet.optuna.spaces import from_space
from funcnet.optuna.studies import optimize

__all__ = ["from_space", "optimize"]
