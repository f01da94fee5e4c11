"""The numbers of figures 8, 9 and 10 that stand in the summary of a run: stellar populations, by both codes."""

CODES = {"ppxf": "pPXF", "firefly": "FIREFLY"}
PAPER = {
    "metal_within_010_ppxf": "0.86 (section 5.4)",
    "metal_within_errors_ppxf": "0.95 (section 5.4)",
    "log_age_scatter_ppxf": "0.23 (section 5.4)",
    "ebv_scatter_ppxf": "0.13 (section 5.4)",
    "metal_within_010_firefly": "0.44 (section 5.4)",
    "metal_within_020_firefly": "0.70 (section 5.4)",
    "log_age_scatter_firefly": "0.33 (section 5.4)",
    "ebv_scatter_firefly": "0.08 (section 5.4)",
    "vdisp_mean_all_ppxf": "-1.4 (section 5.4)",
    "vdisp_std_all_ppxf": "40 (section 5.4)",
    "vdisp_std_elliptical_ppxf": "29 (section 5.4)",
    "vdisp_ratio_median_ppxf": "0.005 (section 5.4)",
    "vdisp_ratio_scatter_ppxf": "0.20 (section 5.4)",
    "offset_ppxf_minus_firefly": "-0.1 (section 5.4)",
}
BOTH = (
    ("metal_within_010", "", "pairs whose [M/H], observed and predicted, agree within 0.10 dex"),
    ("metal_within_020", "", "pairs whose [M/H] agree within 0.20 dex"),
    ("metal_within_errors", "", "pairs whose [M/H] agree within the errors of both bootstraps"),
    ("metal_error", "dex", "median of these errors, of both members together"),
    ("metal_median", "dex", "median difference of [M/H], observed minus predicted"),
    ("log_age_median", "dex", "median difference of the light-weighted log age"),
    ("log_age_scatter", "dex", "its scatter: half the central 68 %"),
    ("ebv_median", "mag", "median difference of the stars' E(B-V)"),
    ("ebv_scatter", "mag", "its scatter: half the central 68 %"),
)
DISPERSIONS = (
    *(
        row
        for kind in ("all", "elliptical", "spiral", "uncertain")
        for row in (
            (f"vdisp_mean_{kind}", "km/s", f"mean difference of velocity dispersion, {kind}"),
            (f"vdisp_std_{kind}", "km/s", f"standard deviation of that difference, {kind}"),
        )
    ),
    ("vdisp_ratio_median", "", "median of predicted over observed velocity dispersion, less 1"),
    ("vdisp_ratio_scatter", "", "scatter of that ratio: half the central 68 %"),
    ("at_bound_predicted", "", "predicted spectra with a velocity or dispersion at a bound of the fit"),
)
RELATION = (
    ("spearman", "", "rank correlation of mass and [M/H] of the predicted spectra"),
    ("rms_zahid2017", "dex", "rms distance of the binned [M/H] from Zahid et al. 2017"),
    ("rms_gallazzi2005", "dex", "rms distance of the binned [M/H] from Gallazzi et al. 2005"),
)
DEGENERACY = (
    ("correlation_age_metal", "", "correlation of the differences in log age and [M/H]"),
    ("correlation_age_ebv", "", "correlation of the differences in log age and E(B-V)"),
    ("angle", "deg", "first principal axis of the differences in [M/H] and log age, from the former"),
)
OFFSET = ("offset_ppxf_minus_firefly", "dex", "median [M/H] of the predicted spectra, pPXF less FIREFLY")


def rows() -> dict[str, list[tuple[str, ...]]]:
    """Rows (name, unit, meaning, the paper's value) by the file that holds the numbers."""
    groups = {"figures/fig08": BOTH, "figures/fig09": RELATION, "figures/fig10": DEGENERACY}
    found = {source: by_code(group, CODES) for source, group in groups.items()}
    found["figures/fig08"] += by_code(DISPERSIONS, ("ppxf",))
    found["figures/fig09"].append((*OFFSET, PAPER[OFFSET[0]]))
    return found


def by_code(group: tuple[tuple[str, ...], ...], codes) -> list[tuple[str, ...]]:
    """Rows of a group for each code."""
    return [
        (f"{name}_{code}", unit, f"{meaning} ({CODES[code]})", PAPER.get(f"{name}_{code}", ""))
        for code in codes
        for name, unit, meaning in group
    ]
