"""Every way in which a case can be wrong: code, severity, what it is, how to fix it.

An error leaves the case out, a warning and a note do not. The codes: 1 the file, 2 its geometry,
3 its intensities, 4 the label, 5 the dataset's names, 6 one case beside the others, 7 the run that
segments it.
"""

from enum import Enum
from typing import Literal

Severity = Literal["error", "warning", "note"]


class Rule(Enum):
    """One rule; the value is (code, severity, title, fix)."""

    TRUNCATED = ("E101", "error", "file ends early", "copy or download it again")
    EMPTY_FILE = ("E102", "error", "file of zero bytes", "copy or download it again")
    BIT_ROT = ("E103", "error", "gzip checksum mismatch", "copy or download it again")
    NOT_A_FILE = ("E104", "error", "not a regular file", "put the scan itself there")
    UNREADABLE = ("E105", "error", "cannot be opened", "check that it exists and who may read it")
    NOT_NIFTI = ("E106", "error", "not a NIfTI file", "convert the scan to NIfTI")
    IS_DICOM = ("E107", "error", "DICOM named as NIfTI", "convert it, for example with dcm2niix")
    BAD_HEADER = ("E108", "error", "header makes no sense", "export the scan again")
    ABSURD_SIZE = ("E109", "error", "header claims an absurd size", "export the scan again")
    TRAILING_BYTES = ("E110", "error", "more data than the header claims", "export it again")
    PLAIN_AS_GZIP = ("N111", "note", "named .gz, not compressed", "rename it to .nii")

    NOT_3D = ("E201", "error", "not a 3D volume", "give one 3D volume per modality")
    BAD_AFFINE = ("E202", "error", "no valid position in space", "export it with its sform")
    NO_VOXEL_SIZE = ("E203", "error", "voxel size unknown", "export it with its voxel size")
    NO_ORIENTATION = ("W204", "warning", "orientation unknown", "export it with its sform")
    SHEARED = ("W205", "warning", "axes not at right angles", "resample it to a straight grid")
    SIDES_SWAPPED = ("E206", "error", "sform and qform swap sides", "correct the wrong one")
    FORMS_DIFFER = ("W207", "warning", "sform and qform differ", "remove the wrong one")
    NEGATIVE_PIXDIM = (
        "N208",
        "note",
        "voxel size not above zero",
        "nothing to do, the affine is used",
    )
    THICK_SLICES = ("W209", "warning", "thick slices", "use the scan of thinner slices")
    ODD_SPACING = ("E210", "error", "impossible voxel size", "export it in millimetres")
    TINY_FIELD = ("E211", "error", "tiny field of view", "give the whole scan, not a crop")
    SHAPES_DIFFER = ("E212", "error", "modalities differ in shape", "bring them onto one grid")
    GRIDS_DIFFER = ("E213", "error", "modalities differ in position", "register them to each other")
    OWN_SPACING = ("W214", "warning", "spacing of its own", "resample it, or accept that we do")
    NOT_ALIGNED = ("W215", "warning", "modalities not aligned", "register them to each other")
    FIELD_CUT = ("W216", "warning", "brain cut by the border", "give the whole scan, not a crop")
    FAR_SPACING = ("W217", "warning", "spacing unlike the training's", "trust small regions less")

    NAN = ("E301", "error", "voxels that are no number", "export it again")
    INFINITE = ("E302", "error", "infinite voxels", "export it again")
    ALL_ZERO = ("E303", "error", "all voxels are zero", "replace it with the real scan")
    CONSTANT = ("E304", "error", "all voxels are equal", "replace it with the real scan")
    SAME_MODALITY = ("E305", "error", "one scan for two modalities", "replace the wrong one")
    COMPLEX = ("E306", "error", "complex voxels", "export the magnitude")
    COLOUR = ("E307", "error", "colour picture", "give the scan, not a screenshot of it")
    BAD_SCALING = ("E308", "error", "scaling is no number", "export it again")
    SWAPPED = ("W309", "warning", "modalities look swapped", "look at them, rename the files")
    OUTLIERS = ("N310", "note", "intensity outliers", "nothing to do, they are clipped")
    FEW_VALUES = ("E311", "error", "image of few values", "give the scan, not a mask")
    SKULL_ON = ("W312", "warning", "background is not zero", "remove the skull and what is around")
    NO_BRAIN = ("E313", "error", "no brain", "give a scan of the brain, without the skull")

    STRAY_VALUE = ("E401", "error", "stray label value", "correct the label or declare --labels")
    OTHER_SCHEME = ("E402", "error", "labels of another scheme", "declare it with --labels")
    FLOAT_LABEL = ("N403", "note", "label stored as floats", "nothing to do, all values are whole")
    FRACTIONAL = ("E404", "error", "fractional label values", "resample it by nearest neighbour")
    NEGATIVE_LABEL = ("E405", "error", "negative label values", "correct the label")
    EMPTY_LABEL = ("W406", "warning", "empty label", "check that nothing is to be seen there")
    LABEL_GRID = ("E407", "error", "label on another grid", "resample it to the grid of the images")
    LABEL_OUTSIDE = ("E408", "error", "label outside the brain", "check that it is of this case")
    NOT_A_LABEL = ("E409", "error", "not a label", "give the label, not an image")

    MISSING_MODALITY = ("E501", "error", "a modality is missing", "add or rename the file")
    GIVEN_TWICE = ("E502", "error", "one part given twice", "remove all but one")
    CASE_TWICE = ("E503", "error", "one name for two cases", "rename or remove one of them")
    ABSENT_FILE = ("E504", "error", "listed file is absent", "add it, or take it off the list")
    ODD_NAME = ("E509", "error", "name that is no text", "rename it")
    LABEL_ALONE = ("W505", "warning", "label without images", "add the images")
    NO_LABEL = ("N506", "note", "images without a label", "nothing to do if it has none")
    STRAY_FILE = ("N507", "note", "file of no case", "nothing to do unless it is misnamed")
    NOT_LISTED = ("N508", "note", "file not listed", "add it to the list if it belongs to the set")

    SAME_SCAN = ("E601", "error", "one scan in two cases", "remove one of them")
    ODD_GRID = ("N602", "note", "grid unlike the others'", "check that it is of this dataset")
    EMPTY_REGION = ("W605", "warning", "region in no label", "see whether --labels is right")
    NOT_UNDERSTOOD = ("E604", "error", "case that cannot be understood", "export its scans again")
    NO_SCHEME = ("E603", "error", "meaning of the labels unknown", "declare it with --labels")

    DISK_FULL = (
        "E701",
        "error",
        "disk full",
        "make room, and give the same command with --continue",
    )
    DISK_FAULT = ("E702", "error", "disk does not answer", "check the disk and who may use it")
    NO_MEMORY = ("E703", "error", "too little memory", "close other programs, or raise --max-ram")
    NO_DICOM_MASK = ("W704", "warning", "mask not written as DICOM", "use the NIfTI mask")
    FEW_SEQUENCES = ("W705", "warning", "segmented from fewer sequences", "add the missing ones")
    REGISTERED = ("W706", "warning", "registered by --coregister", "see whether their edges meet")
    IN_WINDOWS = ("W707", "warning", "segmented in windows", "free memory, then give --overwrite")
    UNUSUAL_SIZE = ("W708", "warning", "size unlike the validation's", "calibrate on such cases")
    UNCALIBRATED = (
        "N709",
        "note",
        "bundle without calibration",
        "run monai-kd calibrate on labelled cases",
    )
    OPINIONS_DIFFER = ("W710", "warning", "two opinions differ", "do not rely on this mask")

    def __init__(self, code: str, severity: Severity, title: str, fix: str) -> None:
        self.code = code
        self.severity: Severity = severity
        self.title = title
        self.fix = fix


EMPTY = (Rule.ALL_ZERO, Rule.CONSTANT)  # a sequence without a picture is one that is missing
