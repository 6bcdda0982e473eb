# MonoTAKD with the weights that its repository had in 2023: CMKD's 32 in front of the features, tuned against the same
# terms of the head, and 0.2 of it for the residual.
_base_ = './monotakd.py'
distill = dict(losses=dict(imd=dict(weight=32.0), cmrd=dict(weight=6.4)))
