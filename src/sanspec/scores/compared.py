"""Names and meanings of what `compare` measures on every predictor alike: rows of the summary."""

INDICES = {
    "mgb": "Mg b",
    "fe5270": "Fe5270",
    "fe5335": "Fe5335",
    "mgfe": "[MgFe]'",
    "hbeta": "Hbeta on the stellar fit",
    "dn4000": "Dn4000",
}
ACTIVE = {
    "accuracy": "accuracy",
    "balanced_accuracy": "mean of recall and specificity",
    "mcc": "Matthews correlation",
}
PREDICTORS = {
    "": "best draw",
    "_mean": "mean of the draws",
    "_nearest_image": "baseline: nearest image",
    "_nearest_colour": "baseline: nearest in colours and magnitude",
    "_nearest_contrastive": "baseline: nearest in the contrastive space",
    "_regression": "baseline: direct regression",
}
ROWS = (
    *(
        (f"compared_rho_{index}{tag}", "", f"Pearson correlation of {symbol}, as measured; {who}")
        for index, symbol in INDICES.items()
        for tag, who in PREDICTORS.items()
    ),
    *(
        (f"compared_agn_{score}{tag}", "", f"active or not, no class counts as not: {text}; {who}")
        for score, text in ACTIVE.items()
        for tag, who in PREDICTORS.items()
    ),
)
