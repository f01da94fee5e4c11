-- Doorenbos et al. 2024, ApJ 977, 131, Appendix B, as printed (comments and INTO kept; upper and lower case as there).
SELECT
S.specObjID, SP.objID, P.ra, P.dec,
S.firstrelease, S.programname, S.instrument, S.run2d,
S.z, S.zerr, S.velDisp, S.velDispErr,
P.petroRad_u, P.petroRad_g, P.petroRad_r, P.petroRad_i, P.petroRad_z,
P.petroR90_u, P.petroR90_g, P.petroR90_r, P.petroR90_i, P.petroR90_z,
P.fiberMag_u, P.fiberMag_g, P.fiberMag_r, P.fiberMag_i, P.fiberMag_z,
P.extinction_r,
S.plateSN2,
P.modelMag_u, P.modelMag_g, P.modelMag_r, P.modelMag_i, P.modelMag_z,
P.cmodelMag_u, P.cmodelMag_g, P.cmodelMag_r, P.cmodelMag_i, P.cmodelMag_z,
z.p_mg, z.p_el_debiased, z.p_cs_debiased, z.spiral, z.elliptical, z.uncertain,
M.logMass as logMass_Maraston09, CD.logMass as logMass_ConroyDust, CND.logMass as logMass_ConroyNoDust
INTO
mydb.spectraGeneration
FROM
MyDB.MyTable_2 as SP
JOIN SpecObj as S ON SP.specObjID=S.specObjID
JOIN PhotoObjAll as P ON SP.objID=P.objID
JOIN zooSpec as Z ON SP.specObjID=Z.specObjID
JOIN stellarMassFSPSGranWideDust as CD ON SP.specObjID=CD.specObjID
JOIN stellarMassFSPSGranWideNoDust as CND ON SP.specObjID=CND.specObjID
JOIN stellarMassPassivePort as M ON SP.specObjID=M.specObjID
WHERE
S.class = 'GALAXY' --/ select only galaxies (spectroscopically)
AND P.mode = 1 --/ includes only objects which are \primary" in the survey
AND S.z >= 0.05 --/ minimum redshift
AND S.z <= 0.15 --/ maximum redshift
AND S.instrument = 'SDSS' --/ spectra from only one instrument
AND (flags_r & 0x20) = 0 --/ not PEAKCENTER
AND (flags_r & 0x80000) = 0 --/ not NOTCHECKED
AND ((flags_r & 0x400000000000) = 0 OR P.psfmagerr_r <= 0.2)
AND (flags_r & 0x800000000000) = 0 --/ not PSF_FLUX_INTERP
AND (flags_r & 0x100000000000) = 0 --/ not BAD_COUNTS_ERROR
AND ((flags_r & 0x100000000000) = 0 OR (flags_r & 0x1000) = 0)
AND (flags_r & 0x10000000) != 0 --/ BINNED1
AND (flags_r & 0x40000) = 0 --/ not SATURATED
AND (flags_r & 0x80) = 0 --/ not NOPROFILE
AND P.petroRad_u>0 AND P.petroRad_g>0 AND P.petroRad_r>0 AND P.petroRad_i>0 AND P.petroRad_z>0
AND P.petroR90_u>0 AND P.petroR90_g>0 AND P.petroR90_r>0 AND P.petroR90_i>0 AND P.petroR90_z>0
AND P.petroRad_u<20 AND P.petroRad_g<20 AND P.petroRad_r<20 AND P.petroRad_i<20 AND P.petroRad_z<20
AND P.petroR90_u<20 AND P.petroR90_g<20 AND P.petroR90_r<20 AND P.petroR90_i<20 AND P.petroR90_z<20
AND P.fiberMag_u>0 AND P.fiberMag_g>0 AND P.fiberMag_r>0 AND P.fiberMag_i>0 AND P.fiberMag_z>0
AND P.modelMag_u>0 AND P.modelMag_g>0 AND P.modelMag_r>0 AND P.modelMag_i>0 AND P.modelMag_z>0
AND P.cmodelMag_u>0 AND P.cmodelMag_g>0 AND P.cmodelMag_r>0 AND P.cmodelMag_i>0 AND P.cmodelMag_z>0
