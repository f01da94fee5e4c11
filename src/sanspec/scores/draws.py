"""Names and meanings of what `validate` measures: rows of the summary."""

KINDS = {
    "coarse": "coarse draws",
    "fine": "unselected fine draws of generated coarse spectra",
    "fine_from_true": "fine draws from the true coarse spectrum and redshift",
}
SCORES = {
    "mse_single": "MSE of the natural log flux of a single draw",
    "mse_mean": "MSE of the mean of the draws",
    "crps": "continuous ranked probability score of the draws (fair: whatever their number)",
    "spread_skill": "predicted over actual error of the mean of the draws; 1: honest",
    "coverage": "fraction of pixels inside the draws' central 68 % interval",
    "hf_power": "mean square difference of neighbouring pixels, of draws over true spectra",
}
SINGLE = {
    "regression": "direct regression",
    "nearest_image": "nearest training image",
    "nearest_colour": "nearest training galaxy in colours and magnitude",
    "nearest_contrastive": "nearest training image in the contrastive space",
}
ROWS = (
    ("n_validated", "", "test galaxies whose draws were judged, log flux, observed frame"),
    *(
        (f"{score}_{kind}", "", f"{kinds}: {text}")
        for kind, kinds in KINDS.items()
        for score, text in SCORES.items()
    ),
    *(
        (f"{score}_{kind}_valid", "", f"the same of {kinds}, validation split")
        for kind, kinds in KINDS.items()
        for score in SCORES
    ),
    *(
        (
            f"spread_scale_{kind}",
            "",
            f"factor on the spread of {KINDS[kind]} that the validation split asks for",
        )
        for kind in ("coarse", "fine")
    ),
    *(
        (f"{score}_{kind}_calibrated", "", f"{KINDS[kind]}, spread so scaled: {SCORES[score]}")
        for kind in ("coarse", "fine")
        for score in ("crps", "coverage", "spread_skill")
    ),
    *(
        (f"crps_{name}", "", f"baseline: the same score of {text}: its absolute error")
        for name, text in SINGLE.items()
    ),
    *(
        (f"mse_log_{name}", "", f"baseline: MSE of the natural log flux of {text}, observed frame")
        for name, text in SINGLE.items()
    ),
    (
        "rho_h_alpha_predicted",
        "",
        "correlation of asinh(EW/5 A) of Halpha, chosen coarse draw and observed, both found blindly",
    ),
    ("rho_h_alpha_predicted_mean", "", "the same of the mean width over the draws"),
    ("rho_h_alpha_regression", "", "baseline: of direct regression"),
    ("rho_h_alpha_cnn", "", "baseline: width told from the image without a spectrum"),
    ("rho_dn4000_cnn", "", "baseline: correlation of Dn4000 so told with the observed"),
    *(
        (
            f"retrieval_top{count}_{which}",
            "",
            f"how often the own {which} spectrum is among the first {count} of all test spectra for an image",
        )
        for which in ("coarse", "fine")
        for count in (1, 5)
    ),
    *(
        (f"retrieval_top{count}_{which}_valid", "", "the same, validation split")
        for which in ("coarse", "fine")
        for count in (1, 5)
    ),
)
