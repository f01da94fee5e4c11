"""One module per figure: tables in, a picture and its numbers out.

Every module here but the helpers (`style`, `panels`, `galaxies`, `populations`) is one figure and holds

    INPUTS = ("quality", ...)  # the keys of the files it reads; "records*" takes several

    def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:

`draw` makes its canvas with `style.canvas` (widths of the journal, constrained layout, no pyplot) and
gives the figure with its numbers: plain JSON values, among them `n`, the number of objects shown. The
stage `figure` sets the style, stamps a simulated survey on the picture's face and writes PNG, PDF and
JSON side by side. Colours and labels of predictors and morphologies are those of `style.PREDICTORS` and
`style.MORPHOLOGIES`, everywhere.
"""

FIGURES = {
    "fig01": "images of different training galaxies, one band each",
    "fig02": "predicted and observed spectra of test galaxies",
    "fig03": "from image to spectrum: the four networks and their draws",
    "fig04": "full-spectrum fits of predicted spectra by both codes",
    "fig05": "quality of the predicted spectra by morphology",
    "fig06": "redshift of the predicted spectra against the true one",
    "fig07": "absorption indices of predicted and observed spectra",
    "fig08": "stellar populations of observed less those of predicted spectra",
    "fig09": "mass-metallicity relation of the predicted spectra",
    "fig10": "how errors of age, metallicity and reddening hang together",
    "fig11": "two kinds of galaxies: pairs of properties from predicted spectra",
    "fig12": "emission-line diagrams of observed and predicted spectra",
    "learning": "learning curves of the five networks",
    "mocksky": "galaxies of the simulated sky: image beside spectrum",
    "mockpopulation": "population of the simulated sky beside published relations",
    "stellar_truth": "stellar populations of the simulated sky against its truth",
}
