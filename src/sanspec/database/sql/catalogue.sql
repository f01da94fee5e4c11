-- Galaxies with spectra, photometry, Galaxy Zoo votes and photometric masses.
-- Doorenbos et al. 2024, ApJ 977, 131, Appendix B.
SELECT
    $columns
INTO mydb.$table
FROM $sources
    JOIN zooSpec as Z ON S.specObjID = Z.specObjID
    JOIN stellarMassFSPSGranWideDust as CD ON S.specObjID = CD.specObjID
    JOIN stellarMassFSPSGranWideNoDust as CND ON S.specObjID = CND.specObjID
    JOIN stellarMassPassivePort as M ON S.specObjID = M.specObjID
WHERE S.class = 'GALAXY'
    AND P.mode = 1
    AND S.z >= $z_min
    AND S.z <= $z_max
    AND S.instrument = 'SDSS'
    -- deblending: not PEAKCENTER, not NOTCHECKED, not DEBLEND_NOPEAK unless of high S/N
    AND (flags_r & 0x20) = 0
    AND (flags_r & 0x80000) = 0
    AND ((flags_r & 0x400000000000) = 0 OR P.psfMagErr_r <= 0.2)
    -- interpolation: not PSF_FLUX_INTERP, not BAD_COUNTS_ERROR, not both INTERP_CENTER and CR
    AND (flags_r & 0x800000000000) = 0
    AND $interpolation
    -- detection: BINNED1, not SATURATED, not NOPROFILE
    AND (flags_r & 0x10000000) != 0
    AND (flags_r & 0x40000) = 0
    AND (flags_r & 0x80) = 0
    -- values with a meaning
    AND P.petroRad_u > 0 AND P.petroRad_g > 0 AND P.petroRad_r > 0 AND P.petroRad_i > 0 AND P.petroRad_z > 0
    AND P.petroR90_u > 0 AND P.petroR90_g > 0 AND P.petroR90_r > 0 AND P.petroR90_i > 0 AND P.petroR90_z > 0
    AND P.petroRad_u < 20 AND P.petroRad_g < 20 AND P.petroRad_r < 20 AND P.petroRad_i < 20 AND P.petroRad_z < 20
    AND P.petroR90_u < 20 AND P.petroR90_g < 20 AND P.petroR90_r < 20 AND P.petroR90_i < 20 AND P.petroR90_z < 20
    AND P.fiberMag_u > 0 AND P.fiberMag_g > 0 AND P.fiberMag_r > 0 AND P.fiberMag_i > 0 AND P.fiberMag_z > 0
    AND P.modelMag_u > 0 AND P.modelMag_g > 0 AND P.modelMag_r > 0 AND P.modelMag_i > 0 AND P.modelMag_z > 0
    AND P.cmodelMag_u > 0 AND P.cmodelMag_g > 0 AND P.cmodelMag_r > 0 AND P.cmodelMag_i > 0 AND P.cmodelMag_z > 0
